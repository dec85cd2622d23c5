// Sends everything about one user to the same peer, so that its cache is warm: /users/7/... by "7".

export const match = { paths: ["/users"] };

/** @type {SluiceRule} */
export default function (request) {
  const user = request.path.split("/")[2];
  // As much of it as a hash key takes.
  if (user) request.hashKey = user.slice(0, 256);
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "the user's name decides",
    request: { path: "/users/7/photos" },
    expect: { pass: true, hashKey: "7" },
  },
  {
    name: "a name that is too long is cut",
    request: { path: `/users/${"a".repeat(300)}` },
    expect: { pass: true, hashKey: "a".repeat(256) },
  },
  {
    name: "the list is for any peer",
    request: { path: "/users" },
    expect: { pass: true, hashKey: "" },
  },
];
