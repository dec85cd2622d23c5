/**
 * How a client may write a path, and what it asks for: the path in normal form, and which of two rules
 * (`/` and `/admin`) it falls under. What nginx 1.22 makes of them, with `merge_slashes` as it is by default,
 * was looked up once for each; where it differs a comment says how.
 */

export interface PathCase {
  readonly written: string;
  /** In normal form; `null`: refused, since it cannot be decoded. */
  readonly path: string | null;
  readonly rule: "root" | "admin";
  /** Refused where something decides by the path. */
  readonly hasEncodedSlash?: true;
}

function under(rule: "root" | "admin", rows: readonly (readonly [string, string])[]): PathCase[] {
  return rows.map(([written, path]) => ({ written, path, rule }));
}

const admin = under("admin", [
  ["/admin", "/admin"],
  ["/admin/", "/admin/"],
  ["/admin/x", "/admin/x"],
  ["/admin/x/y.html", "/admin/x/y.html"],
  // Repeated slashes.
  ["//admin", "/admin"],
  ["///admin", "/admin"],
  ["//admin//", "/admin/"],
  ["/admin//x", "/admin/x"],
  ["//////////admin/x", "/admin/x"],
  // Dot segments.
  ["/./admin", "/admin"],
  ["/././admin", "/admin"],
  ["/admin/.", "/admin/"],
  ["/admin/./x", "/admin/x"],
  ["/x/../admin", "/admin"],
  ["/x/y/../../admin", "/admin"],
  ["/x/./../admin/x", "/admin/x"],
  ["/admin/x/..", "/admin/"],
  ["/admin/../admin", "/admin"],
  ["/admin/x/../../admin", "/admin"],
  ["//x//..//admin", "/admin"],
  ["/x//../admin", "/admin"],
  ["/.//admin", "/admin"],
  // nginx answers what leads above the root with 400.
  ["/../admin", "/admin"],
  ["/../../../admin", "/admin"],
  ["/x/../../admin", "/admin"],
  // Unreserved characters as escapes.
  ["/%61dmin", "/admin"],
  ["/adm%69n", "/admin"],
  ["/%61%64%6d%69%6e", "/admin"],
  ["/%61%64%6D%69%6E", "/admin"],
  ["/admi%6E/x", "/admin/x"],
  ["/admin/%78", "/admin/x"],
  ["/admin/%7Euser", "/admin/~user"],
  ["/admin/a%2Db%5Fc%2Ed", "/admin/a-b_c.d"],
  // Dots as escapes.
  ["/%2e/admin", "/admin"],
  ["/%2E/admin", "/admin"],
  ["/x/%2e%2e/admin", "/admin"],
  ["/x/%2E%2E/admin", "/admin"],
  ["/x/.%2e/admin", "/admin"],
  ["/x/%2e./admin", "/admin"],
  ["/%2e%2e/admin", "/admin"],
  ["/admin/%2e", "/admin/"],
  ["//%2e//%61dmin", "/admin"],
  ["/x/%2e%2E//%61dmin/./y", "/admin/y"],
  // Other escapes stay, in upper case.
  ["/admin/caf%c3%a9", "/admin/caf%C3%A9"],
  ["/admin/%20", "/admin/%20"],
  ["/admin/a%3fb", "/admin/a%3Fb"],
  ["/admin/%2523", "/admin/%2523"],
  ["/admin/;x", "/admin/;x"],
  ["/admin/a+b", "/admin/a+b"],
]);

const root = under("root", [
  ["/", "/"],
  ["//", "/"],
  ["/.", "/"],
  ["/./", "/"],
  // nginx answers what leads above the root with 400.
  ["/..", "/"],
  ["/%2e", "/"],
  ["/%2e%2e", "/"],
  ["/x/..", "/"],
  ["/administrator", "/administrator"],
  ["/admin2", "/admin2"],
  ["/%61dmin2", "/admin2"],
  ["/ad/min", "/ad/min"],
  // Paths are case-sensitive.
  ["/Admin", "/Admin"],
  ["/%41dmin", "/Admin"],
  // Another name than `admin`, for this gateway as for nginx.
  ["/admin;x", "/admin;x"],
  ["/admin.", "/admin."],
  ["/admin%20", "/admin%20"],
  ["/admin%09", "/admin%09"],
  ["/admin%3f", "/admin%3F"],
  ["/admin%23", "/admin%23"],
  ["/%2561dmin", "/%2561dmin"],
  ["/%252e%252e/admin", "/%252e%252e/admin"],
  ["/x/admin", "/x/admin"],
  ["/.../admin", "/.../admin"],
  ["/.admin", "/.admin"],
  ["/..admin", "/..admin"],
  ["/%2e%2e%2e/admin", "/.../admin"],
  // Out of it again.
  ["/admin/..", "/"],
  ["/admin/../", "/"],
  ["/admin/../x", "/x"],
  ["/admin/%2e%2e/x", "/x"],
  ["/admin//../x", "/x"],
  ["/admin/x/../../y", "/y"],
  ["/.well-known/acme", "/.well-known/acme"],
  ["/caf%C3%A9", "/caf%C3%A9"],
  ["/a:b@c!$&'()*+,;=", "/a:b@c!$&'()*+,;="],
]);

/** nginx decodes `%2F` before it matches and takes `%5C` and a backslash for themselves. */
const encodedSlashes: readonly PathCase[] = (
  [
    ["/%2fadmin", "/%2Fadmin", "root"],
    ["/%2Fadmin", "/%2Fadmin", "root"],
    ["/x%2f..%2fadmin", "/x%2F..%2Fadmin", "root"],
    ["/x/..%2fadmin", "/x/..%2Fadmin", "root"],
    ["/admin%2fx", "/admin%2Fx", "root"],
    ["/admin%2F", "/admin%2F", "root"],
    ["/admin/%2e%2e%2fx", "/admin/..%2Fx", "admin"],
    ["/admin/a%2fb", "/admin/a%2Fb", "admin"],
    ["/%5cadmin", "/%5Cadmin", "root"],
    ["/x%5c..%5Cadmin", "/x%5C..%5Cadmin", "root"],
    ["/admin%5cx", "/admin%5Cx", "root"],
    ["/\\admin", "/\\admin", "root"],
    ["/x\\..\\admin", "/x\\..\\admin", "root"],
    ["/admin\\x", "/admin\\x", "root"],
    ["/admin/\\x", "/admin/\\x", "admin"],
  ] as const
).map(([written, path, rule]) => ({ written, path, rule, hasEncodedSlash: true }));

const undecodable: readonly PathCase[] = [
  "/%00",
  "/admin%00",
  "/admin%00.html",
  "/%00admin",
  "/%",
  "/admin%",
  "/%4",
  "/%zz",
  "/%6",
  "/adm%6gn",
  "/%%61dmin",
  "/%u0061dmin",
  "/x/%2e%2/admin",
].map((written) => ({ written, path: null, rule: "root" }));

export const pathCases: readonly PathCase[] = [
  ...admin,
  ...root,
  ...encodedSlashes,
  ...undecodable,
];
