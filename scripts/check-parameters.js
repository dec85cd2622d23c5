// Answers 400 to what the upstream would only choke on. Which parameters a path needs, and their form,
// is in the table; more can be set without touching the script:
// consul kv put sluice/settings/parameters '{"/thumb": {"w": "^[0-9]{1,4}$"}}'

export const match = { methods: ["GET", "HEAD"] };

/** @type {Readonly<Record<string, Readonly<Record<string, string>>>>} */
const always = { "/search": { q: "^.{1,200}$", page: "^([1-9][0-9]{0,3})?$" } };

/** @param {string} query @param {string} name */
function parameter(query, name) {
  for (const pair of query.split("&")) {
    const equals = pair.indexOf("=");
    if ((equals === -1 ? pair : pair.slice(0, equals)) !== name) continue;
    return equals === -1 ? "" : decodeURIComponent(pair.slice(equals + 1).replaceAll("+", " "));
  }
  return "";
}

/** @type {SluiceRule} */
export default function (request) {
  const wanted = { ...always, ...Object(settings.parameters) }[request.path];
  for (const [name, form] of Object.entries(wanted ?? {})) {
    let value;
    try {
      value = parameter(request.query, name);
    } catch {
      return deny(400, `the parameter ${name} is not percent-encoded\n`);
    }
    if (!new RegExp(form).test(value))
      return deny(400, `the parameter ${name} is missing or wrong\n`);
  }
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "good parameters pass",
    request: { path: "/search?q=night+train&page=2" },
    expect: { pass: true },
  },
  {
    name: "one that may be empty may be missing",
    request: { path: "/search?q=a" },
    expect: { pass: true },
  },
  {
    name: "a missing one is named",
    request: { path: "/search" },
    expect: { deny: { status: 400, body: "the parameter q is missing or wrong\n" } },
  },
  {
    name: "a wrong one is refused",
    request: { path: "/search?q=a&page=0" },
    expect: { deny: 400 },
  },
  {
    name: "a broken encoding is refused",
    request: { path: "/search?q=%zz" },
    expect: { deny: 400 },
  },
  {
    name: "another spelling of the path changes nothing",
    request: { path: "/%73earch" },
    expect: { deny: 400 },
  },
  { name: "other paths are left alone", request: { path: "/" }, expect: { pass: true } },
  {
    name: "more of them come from a setting",
    settings: { parameters: { "/thumb": { w: "^[0-9]{1,4}$" } } },
    request: { path: "/thumb?w=wide" },
    expect: { deny: 400 },
  },
];
