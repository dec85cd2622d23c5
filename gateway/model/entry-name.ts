/**
 * The names of upstream documents, and of certificates in KV and in files: Slardar's alphabet for upstreams
 * (`[-_a-zA-Z0-9.]`), without what a file or a shell would take for something else.
 */
export const entryName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$/;
