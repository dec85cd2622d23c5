// Sends everything about one user to the same peer, so that its cache is warm: /users/7/... by "7".

export const match = { paths: ["/users"] };

/** @type {SluiceRule} */
export default function (request) {
  const user = request.path.split("/")[2];
  if (user) request.hashKey = user;
}

/** @type {SluiceTests} */
export const tests = [
  {
    name: "the user's name decides",
    request: { path: "/users/7/photos" },
    expect: { pass: true, hashKey: "7" },
  },
  {
    name: "the list is for any peer",
    request: { path: "/users" },
    expect: { pass: true, hashKey: "" },
  },
];
