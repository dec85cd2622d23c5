// Refuses methods that change something: for a host that should be read only.

export const match = { methods: ["DELETE", "PATCH", "POST", "PUT"] };

/** @type {SluiceRule} */
export default function (request) {
  log.info("refused", request.method, request.path, "from", request.clientIp);
  return deny(403, `${request.method} is switched off here\n`);
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "what changes something is refused",
    request: { method: "DELETE", path: "/users/7" },
    expect: { deny: { status: 403, body: "DELETE is switched off here\n" } },
  },
  { name: "reading is not", request: { path: "/users/7" }, expect: { pass: true } },
];
