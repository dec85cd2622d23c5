/**
 * Decodes HPACK's Huffman code (RFC 7541 section 5.2 and appendix B) by a state machine that takes four bits at a
 * time. It was measured beside one that takes eight, which needs 256 kB for its table, and one that looks symbols up
 * by their leading bits.
 */

/** How many bits each byte's code has; the last is the end of string. Shorter codes, then smaller bytes, come first. */
const codeLengths: readonly number[] = [
  ...[13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  ...[28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  ...[6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  ...[5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  ...[13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  ...[7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  ...[15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  ...[6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  ...[20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  ...[24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  ...[22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  ...[21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  ...[26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  ...[19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  ...[20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  ...[26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  30,
];
const endOfString = 256;

/** The shortest code has 5 bits. */
export const mostBytesPerByte = 8 / 5;

/**
 * A step of the machine, by state and four bits: in the upper half the next state, times 16; below, these flags and
 * the byte that the four bits complete.
 */
const completes = 0x100;
/** The string may end here: fewer than eight bits are left, all of them ones. */
const mayEnd = 0x200;
const isBroken = 0x400;
const steps = buildSteps();

/**
 * Decodes `source[from, to)` to the beginning of `target`, which has room for `mostBytesPerByte`. Returns how many
 * bytes came out; -1: it is not Huffman code (RFC 7541 section 5.2: an end of string inside, wrong padding).
 */
export function decodeHuffman(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
): number {
  let length = 0;
  let step = mayEnd;
  for (let at = from; at < to; at += 1) {
    const byte = source[at] ?? 0;
    step = steps[(step >>> 16) | (byte >>> 4)] ?? isBroken;
    if ((step & completes) !== 0) {
      target[length] = step;
      length += 1;
    }
    if ((step & isBroken) !== 0) return -1;
    step = steps[(step >>> 16) | (byte & 15)] ?? isBroken;
    if ((step & completes) !== 0) {
      target[length] = step;
      length += 1;
    }
    if ((step & isBroken) !== 0) return -1;
  }
  return (step & mayEnd) === 0 ? -1 : length;
}

/** For each inner node of a tree, what 0 and 1 lead to: another node or, where negative, a symbol. */
type Branches = readonly (readonly [number, number])[];

function buildTree(): Branches {
  const branches: [number, number][] = [[0, 0]];
  const symbols = [...codeLengths.keys()].sort(
    (a, b) => (codeLengths[a] ?? 0) - (codeLengths[b] ?? 0) || a - b,
  );
  let code = 0;
  let length = 0;
  for (const symbol of symbols) {
    const bits = codeLengths[symbol] ?? 0;
    code *= 2 ** (bits - length);
    length = bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit -= 1) {
      const pair = branches[node] ?? [0, 0];
      const side = (code >>> bit) & 1 ? 1 : 0;
      if (pair[side] === 0) pair[side] = branches.push([0, 0]) - 1;
      node = pair[side];
    }
    (branches[node] ?? [0, 0])[code & 1 ? 1 : 0] = -1 - symbol;
    code += 1;
  }
  return branches;
}

function buildSteps(): Uint32Array {
  const branches = buildTree();
  const table = new Uint32Array(branches.length * 16);
  const ends = paddingNodes(branches);
  for (const start of branches.keys()) {
    for (let bits = 0; bits < 16; bits += 1) table[start * 16 + bits] = walk(start, bits);
  }
  return table;

  function walk(start: number, bits: number): number {
    let node = start;
    let flags = 0;
    for (let bit = 3; bit >= 0; bit -= 1) {
      const next = branches[node]?.[(bits >>> bit) & 1 ? 1 : 0] ?? 0;
      if (next === -1 - endOfString) return isBroken;
      if (next < 0) flags = completes | (-1 - next);
      node = Math.max(0, next);
    }
    if (ends.has(node)) flags |= mayEnd;
    // Shifted by 16 for the upper half and by 4 because each state has 16 steps.
    return ((node << 20) | flags) >>> 0;
  }
}

/** The nodes that up to seven ones lead to. */
function paddingNodes(branches: Branches): ReadonlySet<number> {
  const nodes = new Set([0]);
  for (let node = 0, ones = 0; ones < 7; ones += 1) {
    node = branches[node]?.[1] ?? 0;
    nodes.add(node);
  }
  return nodes;
}
