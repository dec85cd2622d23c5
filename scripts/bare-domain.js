// Sends a bare domain to its www name, path and query included. For the key of the bare domain.

/** @type {SluiceRule} */
export default function (request) {
  if (request.host.startsWith("www.")) return;
  const query = request.query === "" ? "" : `?${request.query}`;
  // 308 keeps the method and the body.
  return redirect(`https://www.${request.host}${request.path}${query}`, 308);
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "path and query go along",
    request: { host: "example.com", path: "/a?b=c" },
    expect: { redirect: { location: "https://www.example.com/a?b=c", status: 308 } },
  },
  { name: "www stays", request: { host: "www.example.com" }, expect: { pass: true } },
];
