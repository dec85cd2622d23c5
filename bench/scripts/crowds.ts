/** What many hosts of one tenant may do together, each staying below what its script may do by itself. */

const spin = (ms: number) => `const until = Date.now() + ${ms}; while (Date.now() < until); `;
/** Where V8 looks at the clock least often: each of these takes it a millisecond. */
const stall = `const a = "1".repeat(1e6); ${"+a; ".repeat(1_000)}`;

/** The text of the script that each host of the crowd has. */
export const crowds: Readonly<Record<string, string>> = {
  "calls that V8 interrupts late": `export default () => { ${stall} };`,
  "the same after a hundred good calls": `let calls = 0;
    export default () => { if (++calls <= 100) return; ${stall} };`,
  "endless loops": "export default () => { for (;;); };",
  "calls of 8 ms that are good": `export default () => { ${spin(8)} };`,
  "calls of 1 ms that fail": `export default () => { ${spin(1)} throw new Error("mine"); };`,
  "isolates that burst, made anew for each call":
    "export default () => { const all = []; for (;;) all.push(new Array(1000).fill(1.5)); };",
};
