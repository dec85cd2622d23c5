// Sends a share of the users to another upstream, the same ones each time, and whoever asks for it by a
// header. Share and upstream are a setting, so that they change without a new version:
// consul kv put sluice/settings/canary '{"upstream": "shop-canary", "percent": 5}'

/** @type {SluiceRule} */
export default function (request) {
  const { upstream = "", percent = 0 } = Object(settings.canary);
  if (upstream === "") return;
  const asked = request.headers.get("x-canary");
  const user = request.headers.get("x-user") ?? request.clientIp;
  // A number from 0 to 99 that is the user's own.
  const place = Number.parseInt(crypto.md5(user).slice(0, 8), 16) % 100;
  if (asked === "always" || (asked !== "never" && place < percent)) request.upstream = upstream;
}

const canary = { upstream: "shop-canary", percent: 50 };

/** @type {SluiceTests} */
export const tests = [
  {
    name: "nobody is sent there without the setting",
    settings: { canary: null },
    request: { headers: { "x-canary": "always" } },
    expect: { pass: true, upstream: "" },
  },
  {
    name: "users in the share are",
    settings: { canary },
    request: { headers: { "x-user": "ada" } },
    expect: { pass: true, upstream: "shop-canary" },
  },
  {
    name: "others are not",
    settings: { canary },
    request: { headers: { "x-user": "donald" } },
    expect: { pass: true, upstream: "" },
  },
  {
    name: "the header decides",
    settings: { canary: { ...canary, percent: 0 } },
    request: { headers: { "x-canary": "always" } },
    expect: { pass: true, upstream: "shop-canary" },
  },
  {
    name: "and can decline",
    settings: { canary: { ...canary, percent: 100 } },
    request: { headers: { "x-canary": "never" } },
    expect: { pass: true, upstream: "" },
  },
];
