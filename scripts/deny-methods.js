// Refuses methods that change something: for a host that should be read only.
// The key is the host: consul kv put sluice/scripts/admin.example.com @scripts/deny-methods.js

export const match = { methods: ["DELETE", "PATCH", "POST", "PUT"] };

/** @type {SluiceRule} */
export default function (request) {
  log.info("refused", request.method, request.path, "from", request.clientIp);
  return deny(403, `${request.method} is switched off here\n`);
}
