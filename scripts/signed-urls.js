// Lets through only addresses that somebody with the key has signed, until they expire:
//   /files/report.pdf?expires=1893456000&signature=...
// where the signature is the base64url HMAC-SHA-256 of "/files/report.pdf?expires=1893456000". The path in
// it is the one in normal form or the one in the address: both name the same file.
// consul kv put sluice/settings/signing '{"key": "..."}'

export const match = { paths: ["/files"] };

const form = /^expires=(\d{1,12})&signature=([\w-]{43})$/;

/** @param {string} key @param {string} path @param {string} expires */
function signatureOf(key, path, expires) {
  return crypto.hmac("sha256", key, `${path}?expires=${expires}`, "base64url");
}

/**
 * Takes the same time wherever the two differ.
 * @param {string} one @param {string} other
 */
function areSame(one, other) {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at += 1) {
    difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  }
  return difference === 0;
}

/** @type {SluiceRule} */
export default function (request) {
  const { key = "" } = Object(settings.signing);
  // Without a key everybody could sign.
  if (key === "") return deny(503, "there is no key to check signatures with\n");
  const [, expires = "", signature = ""] = form.exec(request.query) ?? [];
  const paths = new Set([request.path, request.rawPath]);
  if (![...paths].some((path) => areSame(signatureOf(key, path, expires), signature)))
    return deny(403, "not signed\n");
  if (Number(expires) * 1000 < Date.now()) return deny(410, "this address has expired\n");
  request.query = "";
}

const signing = { key: "only for these tests" };
const late = "99999999999";

/** @type {SluiceTests} */
export const tests = [
  {
    name: "a signed address passes, without its signature",
    settings: { signing },
    request: {
      path: `/files/a?expires=${late}&signature=${signatureOf(signing.key, "/files/a", late)}`,
    },
    expect: { pass: true, path: "/files/a", query: "" },
  },
  {
    name: "the signature of another path does not",
    settings: { signing },
    request: {
      path: `/files/b?expires=${late}&signature=${signatureOf(signing.key, "/files/a", late)}`,
    },
    expect: { deny: 403 },
  },
  {
    name: "nor does a way from a signed path to another",
    settings: { signing },
    request: {
      path: `/files/a/../b?expires=${late}&signature=${signatureOf(signing.key, "/files/a", late)}`,
    },
    expect: { deny: 403 },
  },
  {
    name: "nor an escaped one",
    settings: { signing },
    request: { path: "/fil%65s/a" },
    expect: { deny: 403 },
  },
  {
    name: "another spelling of a signed path is the signed path",
    settings: { signing },
    request: {
      path: `/x/..//files/%61?expires=${late}&signature=${signatureOf(signing.key, "/files/a", late)}`,
    },
    expect: { pass: true, path: "/files/a", query: "" },
  },
  {
    name: "an address may be signed as it is written",
    settings: { signing },
    request: {
      path: `/files/caf%c3%a9?expires=${late}&signature=${signatureOf(signing.key, "/files/caf%c3%a9", late)}`,
    },
    expect: { pass: true, path: "/files/caf%C3%A9" },
  },
  {
    name: "a slash that not everybody takes for one is refused",
    settings: { signing },
    request: {
      path: `/files/a%2Fb?expires=${late}&signature=${signatureOf(signing.key, "/files/a%2Fb", late)}`,
    },
    expect: { deny: 400 },
  },
  {
    name: "nor one of another key",
    settings: { signing },
    request: {
      path: `/files/a?expires=${late}&signature=${signatureOf("other", "/files/a", late)}`,
    },
    expect: { deny: 403 },
  },
  {
    name: "an expired one is gone",
    settings: { signing },
    request: { path: `/files/a?expires=1&signature=${signatureOf(signing.key, "/files/a", "1")}` },
    expect: { deny: 410 },
  },
  {
    name: "none is refused",
    settings: { signing },
    request: { path: "/files/a" },
    expect: { deny: 403 },
  },
  {
    name: "without a key nobody passes",
    settings: { signing: {} },
    request: { path: "/files/a" },
    expect: { deny: 503 },
  },
];
