// Sends a bare domain to its www name, path and query included. For the key of the bare domain.

/** @type {SluiceRule} */
export default function (request) {
  if (request.host.startsWith("www.")) return;
  const query = request.query === "" ? "" : `?${request.query}`;
  const location = `https://www.${request.host}${request.path}${query}`;
  // What redirect() takes; the way there is longer than the way here.
  if (location.length > 8192) return deny(414, "the address is too long\n");
  // 308 keeps the method and the body.
  return redirect(location, 308);
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "path and query go along",
    request: { host: "example.com", path: "/a?b=c" },
    expect: { redirect: { location: "https://www.example.com/a?b=c", status: 308 } },
  },
  {
    name: "an address that is too long to be sent on is refused",
    request: { host: "example.com", path: `/${"a".repeat(8191)}` },
    expect: { deny: 414 },
  },
  { name: "www stays", request: { host: "www.example.com" }, expect: { pass: true } },
];
