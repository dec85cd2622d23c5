// Keeps old addresses working: API clients are served under the new path without noticing, browsers
// are sent to it. More of them can be set without touching the script:
// consul kv put sluice/settings/old_paths '{"/legacy": "/v2"}'

export const match = { methods: ["GET", "HEAD"] };

const always = { "/api/v1": "/api/v2", "/help": "/docs" };

/** @type {SluiceRule} */
export default function (request) {
  const moved = Object.entries({ ...always, ...Object(settings.old_paths) });
  for (const [before, after] of moved) {
    if (request.path !== before && !request.path.startsWith(`${before}/`)) continue;
    const path = after + request.path.slice(before.length);
    const address = request.query === "" ? path : `${path}?${request.query}`;
    // The new path may be longer than the old one.
    if (address.length > 8192) return deny(414, "the address is too long\n");
    if (request.headers.get("accept")?.includes("text/html")) return redirect(address, 308);
    request.path = path;
    return;
  }
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "programs are served under the new path",
    request: { path: "/api/v1/users?page=2" },
    expect: { pass: true, path: "/api/v2/users", query: "page=2" },
  },
  {
    name: "browsers are sent to it",
    request: { path: "/help/a?b=c", headers: { accept: "text/html" } },
    expect: { redirect: { location: "/docs/a?b=c", status: 308 } },
  },
  {
    name: "an address that gets too long is refused",
    settings: { old_paths: { "/a": "/b/c" } },
    request: { path: `/a/${"a".repeat(8189)}` },
    expect: { deny: 414 },
  },
  {
    name: "only whole segments count",
    request: { path: "/api/v10" },
    expect: { pass: true, path: "/api/v10" },
  },
  {
    name: "however they are written",
    request: { path: "//api/./v%31/users" },
    expect: { pass: true, path: "/api/v2/users" },
  },
  {
    name: "more of them come from a setting",
    settings: { old_paths: { "/legacy": "/v2" } },
    request: { path: "/legacy" },
    expect: { pass: true, path: "/v2" },
  },
];
