/**
 * A path as rules see it. For matching only: what is forwarded stays as the client wrote it, so a
 * rule and an origin that resolves dot segments by itself cannot come to different answers.
 */

const slash = 0x2f;
const dot = 0x2e;
const percent = 0x25;

/**
 * The path with dot segments resolved (RFC 3986 section 5.2.4, `%2e` read as a dot) and repeated
 * slashes merged. Returns the same string, without allocating, when there is nothing of that in it.
 */
export function normalisePath(path: string): string {
  for (let at = path.length - 2; at >= 0; at -= 1) {
    if (path.charCodeAt(at) !== slash) continue;
    const next = path.charCodeAt(at + 1);
    if (next === slash || next === dot || (next === percent && isEncodedDot(path, at + 1)))
      return resolveSegments(path);
  }
  return path;
}

function isEncodedDot(path: string, at: number): boolean {
  // 0x20 set makes `E` an `e`.
  return path.charCodeAt(at + 1) === 0x32 && (path.charCodeAt(at + 2) | 0x20) === 0x65;
}

function resolveSegments(path: string): string {
  const kept: string[] = [];
  let isFolder = false;
  for (const segment of path.split("/")) {
    const plain = segment.replaceAll(/%2e/gi, ".");
    isFolder = plain === "" || plain === "." || plain === "..";
    if (plain === "..") kept.pop();
    else if (!isFolder) kept.push(plain);
  }
  if (kept.length === 0) return "/";
  return `/${kept.join("/")}${isFolder ? "/" : ""}`;
}

/** Whether `prefix` (no trailing slash; empty for all) covers `path` by whole segments. */
export function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return (
    prefix.length === 0 || path.length === prefix.length || path.charCodeAt(prefix.length) === slash
  );
}
