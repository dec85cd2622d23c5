// Adds the headers that browsers are told to be careful by, where the origin did not set its own, and
// takes away the ones that say what the origin runs on.

const defaults = [
  ["strict-transport-security", "max-age=31536000"],
  ["x-content-type-options", "nosniff"],
  ["x-frame-options", "DENY"],
  ["referrer-policy", "strict-origin-when-cross-origin"],
];

// The request itself is left alone.
export default function () {}

/** @type {SluiceResponseRule} */
export function onResponse(response) {
  const { headers } = response;
  for (const [name, value] of defaults) {
    if (!headers.has(name)) headers.set(name, value);
  }
  headers.delete("server");
  headers.delete("x-powered-by");
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "what the origin left out is added",
    response: { status: 200, headers: { server: "nginx", "x-powered-by": "PHP" } },
    expectResponse: { "x-content-type-options": "nosniff", server: null, "x-powered-by": null },
  },
  {
    name: "what it says stays",
    response: { status: 200, headers: { "x-frame-options": "SAMEORIGIN" } },
    expectResponse: { "x-frame-options": "SAMEORIGIN" },
  },
];
