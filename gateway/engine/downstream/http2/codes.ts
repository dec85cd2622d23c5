/**
 * HTTP/2's numbers (RFC 9113 sections 6 and 7). `node:http2` has them too, but is loaded only when a client speaks
 * HTTP/2.
 */

export const noError = 0x0;
export const enhanceYourCalm = 0xb;
export const endStreamFlag = 0x1;
