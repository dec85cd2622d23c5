/** Names of objects, each with the names of its own properties, blanks between them. */
export const allowed: Readonly<Record<string, string>>;
