/** HPACK's static table (RFC 7541 appendix A): the fields that both sides know from the start, numbered from 1. */

const lines = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
`;

/** The names and values of the entries; those at 0 stand for nothing. */
export const staticNames: readonly string[] = columnOf(0);
export const staticValues: readonly string[] = columnOf(1);

export const staticEntries = staticNames.length - 1;

/** What an entry of either table counts beside its name and value (RFC 7541 section 4.1). */
export const entryOverheadBytes = 32;

function columnOf(column: 0 | 1): readonly string[] {
  return lines
    .trimEnd()
    .split("\n")
    .map((line) => {
      const blank = line.indexOf(" ");
      if (column === 0) return blank === -1 ? line : line.slice(0, blank);
      return blank === -1 ? "" : line.slice(blank + 1);
    });
}
