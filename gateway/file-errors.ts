/** What the system says of a file, in words for the operator; the code stays, since one searches by it. */

const words: Readonly<Record<string, string>> = {
  EACCES: "this user may not",
  EEXIST: "something that is no directory is in its way",
  EISDIR: "it is a directory",
  ENOENT: "there is no such file or directory",
  ENOSPC: "the disk is full",
  ENOTDIR: "something that is no directory is in its way",
  EDQUOT: "this user's quota of the disk is used up",
  EPERM: "this user may not",
  EROFS: "the file system is read-only",
};

/** `the disk is full (ENOSPC)`, or the message of an error that has no such code. */
export function describeFileError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = String(codeOf(error) ?? "");
  return words[code] === undefined ? code || error.message : `${words[code]} (${code})`;
}

/** `ENOENT`; undefined when the system did not say it. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
