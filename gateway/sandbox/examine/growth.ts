/**
 * Finds where a source needs checks, because syntax alone may make something long or run through it in one
 * step: additions, templates, spread, `for...in`, the length of arrays. Reads a parsed source and changes
 * nothing. What checks do is in `inside/growth.js`.
 */
import type {
  AnyNode,
  AssignmentExpression,
  BinaryExpression,
  MemberExpression,
  Program,
} from "acorn";
import { type Check, type CheckKind, checkPrefix, writeChecks } from "../run/growth-checks.ts";
import type { Found } from "../run/source-reader.ts";

/** More checks than any handwritten source needs. They are kept beside the source, so their number is bounded. */
const maxChecks = 20_000;
/** A script that adds texts no longer than this runs out of time before it has made a long one. */
const shortAddition = 4;
/** V8 looks at the clock where a function begins, so at most this many operators may stand between two calls. */
const operatorsPerPause = 4;
const numeric: ReadonlySet<string> = new Set("- * / % ** | & ^ << >> >>>".split(" "));
/** The checks take it for an array, to be safe. Written without a space. */
const unknownTarget = "[]";
const plainString = /^["'][\w-]*["']$/;

export interface Growth {
  /** As `writeChecks` writes them. */
  readonly checks: string;
  /** The first construct that no check can be put around; `null`: there is none. */
  readonly problem: Found | null;
}

export function growthOf(program: Program): Growth {
  const finder = new Finder();
  // Without recursion: what the parser could nest must not be too deep for this.
  const open: { node: AnyNode; isOperand: boolean }[] = [{ node: program, isOperand: false }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, isOperand } = next;
    finder.look(node, isOperand);
    if (finder.isFull) break;
    const isAddition = isSum(node);
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (isNode(child)) open.push({ node: child, isOperand: isAddition && isSum(child) });
      }
    }
  }
  return finder.found();
}

class Finder {
  readonly #opening: (Check & { readonly end: number })[] = [];
  readonly #closing: number[] = [];
  /** Templates whose parts are handed to a function. */
  readonly #tagged = new Set<AnyNode>();
  #problem: Found | null = null;
  #operators = 0;

  get isFull(): boolean {
    return this.#opening.length > maxChecks;
  }

  found(): Growth {
    if (this.isFull) {
      const message = `it has more than ${maxChecks} additions, templates and the like`;
      return { checks: "", problem: { index: 0, message } };
    }
    // Of checks that begin at the same place the longer comes first. Those that end there come before them.
    const opening = this.#opening.sort((a, b) => a.index - b.index || b.end - a.end);
    const closing = this.#closing.sort((a, b) => a - b);
    const checks: Check[] = [];
    let closed = 0;
    const closeUntil = (most: number) => {
      for (let index = closing[closed] ?? most + 1; index <= most; ) {
        checks.push({ index, kind: "close" });
        closed += 1;
        index = closing[closed] ?? most + 1;
      }
    };
    for (const { end: _, ...check } of opening) {
      closeUntil(check.index);
      checks.push(check);
    }
    closeUntil(Number.MAX_SAFE_INTEGER - 1);
    return { checks: writeChecks(checks), problem: this.#problem };
  }

  /** @param isOperand of an addition that is checked as a whole. */
  look(node: AnyNode, isOperand: boolean): void {
    switch (node.type) {
      case "Identifier":
        if (node.name.startsWith(checkPrefix)) {
          this.#refuse(node, `a name cannot begin with ${checkPrefix} here`);
        }
        return;
      case "BinaryExpression":
        if (node.operator !== "+") {
          if (!isQuick(node)) this.#pause(node);
        } else if (!isOperand && maySumGrow(node)) this.#around(node, "text");
        return;
      case "UnaryExpression":
        if (node.operator === "+" || node.operator === "-" || node.operator === "~") {
          this.#pause(node);
        }
        return;
      case "SwitchCase":
        if (node.test) this.#pause(node.test);
        return;
      case "TaggedTemplateExpression":
        this.#tagged.add(node.quasi);
        return;
      case "TemplateLiteral": {
        if (this.#tagged.has(node) || node.expressions.length === 0) return;
        const own = node.quasis.reduce((sum, { value }) => sum + (value.cooked ?? "").length, 0);
        if (node.expressions.length > 1 || own > shortAddition) this.#around(node, "text");
        return;
      }
      case "SpreadElement":
        this.#around(node.argument, "list");
        return;
      case "ForInStatement":
        this.#around(node.right, "list");
        this.#pattern(node.left, null);
        return;
      case "ForOfStatement":
        this.#pattern(node.left, null);
        return;
      case "VariableDeclarator":
        // Without a value it is the variable of a loop.
        if (node.init) this.#pattern(node.id, node.init);
        return;
      case "CatchClause":
        if (node.param) this.#pattern(node.param, null);
        return;
      case "AssignmentExpression":
        this.#assignment(node);
        return;
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        if (node.params.filter((param) => [...partsOf(param)].some(hasRest)).length > 1) {
          this.#refuseRest(node);
        }
        for (const param of node.params) this.#parameter(param, node.type);
        return;
      default:
    }
  }

  #assignment(node: AssignmentExpression): void {
    const { left, operator, right } = node;
    if (left.type === "ObjectPattern" || left.type === "ArrayPattern") {
      this.#pattern(left, right);
      return;
    }
    if (left.type === "MemberExpression") {
      const object = targetOf(left.object) ?? unknownTarget;
      if (nameOf(left) === "length") {
        if (!["=", "+=", "-=", "||=", "&&=", "??="].includes(operator)) {
          this.#refuse(node, `length ${operator} is not available: write length = ...`);
        }
        this.#around(right, "size", object);
        return;
      }
      if (left.computed && !isHarmlessKey(left.property)) {
        this.#around(left.property, "key", object);
      }
    }
    if (operator !== "+=" || isShort(right)) return;
    const target = targetOf(left);
    if (target === null) this.#around(right, "short");
    else this.#around(right, "add", target);
  }

  /** What is taken apart. @param value what it is taken from, where a check can be put around that. */
  #pattern(pattern: AnyNode, value: AnyNode | null): void {
    if (hasRest(pattern) && value !== null) this.#around(value, "list");
    for (const part of partsOf(pattern)) {
      if (hasRest(part) && (part !== pattern || value === null)) this.#refuseRest(part);
      if (part.type !== "MemberExpression") continue;
      if (nameOf(part) === "length") {
        this.#refuse(part, "length is not available here: write length = ...");
      } else if (part.computed && !isHarmlessKey(part.property)) {
        this.#around(part.property, "key", targetOf(part.object) ?? unknownTarget);
      }
    }
  }

  /** With a long text, `{ a, ...rest }` makes a property for each character in one go. */
  #parameter(param: AnyNode, kind: string): void {
    const pattern = param.type === "AssignmentPattern" ? param.left : param;
    if (hasRest(pattern)) {
      if (kind === "ArrowFunctionExpression") this.#refuseRest(pattern);
      else {
        this.#opening.push({
          index: pattern.start + 1,
          end: Number.MAX_SAFE_INTEGER,
          kind: "rest",
        });
        if (param.type === "AssignmentPattern") this.#around(param.right, "list");
      }
    }
    for (const part of partsOf(pattern)) {
      if (part !== pattern && hasRest(part)) this.#refuseRest(part);
    }
  }

  #refuseRest(pattern: AnyNode): void {
    this.#refuse(pattern, "{ ...rest } is not available here: write const { ...rest } = value");
  }

  #pause(node: AnyNode): void {
    this.#operators += 1;
    if (this.#operators % operatorsPerPause === 0) this.#around(node, "pause");
  }

  #around(node: AnyNode, kind: CheckKind, target?: string): void {
    const { start: index, end } = node;
    this.#opening.push({ index, end, kind, ...(target === undefined ? {} : { target }) });
    this.#closing.push(end);
    if (node.type !== "SequenceExpression") return;
    this.#opening.push({ index, end, kind: "open" });
    this.#closing.push(end);
  }

  #refuse({ start }: AnyNode, message: string): void {
    if (this.#problem !== null && this.#problem.index <= start) return;
    this.#problem = { index: start, message };
  }
}

/** Comparing with such a text is cheap: V8 does not look into texts of different lengths. */
function isQuick({ operator, left, right }: BinaryExpression): boolean {
  const isStrict = operator === "===" || operator === "!==";
  return isStrict && (left.type === "Literal" || right.type === "Literal");
}

function hasRest(node: AnyNode): boolean {
  return (
    node.type === "ObjectPattern" && node.properties.some(({ type }) => type === "RestElement")
  );
}

function isSum(node: AnyNode): boolean {
  return node.type === "BinaryExpression" && node.operator === "+";
}

/** Whether an addition may lengthen a text that is long already. */
function maySumGrow(sum: AnyNode): boolean {
  let others = 0;
  let numbers = 0;
  let added = 0;
  const open: AnyNode[] = [sum];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node.type === "BinaryExpression" && node.operator === "+") {
      open.push(node.left, node.right);
    } else if (node.type === "Literal") {
      added += String(node.value).length;
    } else if (isNumeric(node)) numbers += 1;
    else others += 1;
  }
  if (others === 0) return false;
  return others + numbers > 1 || added > shortAddition;
}

function isShort(node: AnyNode): boolean {
  if (isNumeric(node)) return true;
  return node.type === "Literal" && String(node.value).length <= shortAddition;
}

function isNumeric(node: AnyNode): boolean {
  if (node.type === "BinaryExpression") return numeric.has(node.operator);
  if (node.type === "UnaryExpression") return ["-", "+", "~"].includes(node.operator);
  return node.type === "UpdateExpression";
}

function isHarmlessKey(key: AnyNode): boolean {
  return isNumeric(key) || (key.type === "Literal" && key.value !== "length");
}

/** The name of the property if the source spells it out; `null` if it is known only when the source runs. */
function nameOf({ computed, property }: MemberExpression): string | null {
  if (!computed) return property.type === "Identifier" ? property.name : null;
  return property.type === "Literal" ? String(property.value) : null;
}

/** A variable or a property so simple that reading it a second time changes nothing; `null` for anything else. */
function targetOf(node: AnyNode, depth = 0): string | null {
  if (node.type === "Identifier") return node.name;
  if (node.type === "ThisExpression") return "this";
  if (node.type === "Super") return depth === 0 ? null : "super";
  if (node.type !== "MemberExpression" || node.optional || depth > 4) return null;
  const object = targetOf(node.object, depth + 1);
  if (object === null) return null;
  const { property } = node;
  if (property.type === "PrivateIdentifier") return `${object}.#${property.name}`;
  if (!node.computed) return property.type === "Identifier" ? `${object}.${property.name}` : null;
  if (property.type === "Identifier") return `${object}[${property.name}]`;
  const isPlain =
    property.type === "Literal" &&
    (typeof property.value === "number" || plainString.test(property.raw ?? ""));
  return isPlain ? `${object}[${property.raw}]` : null;
}

/** The pattern and all of its parts, except for default values. */
function* partsOf(pattern: AnyNode): Generator<AnyNode, void, void> {
  const open: (AnyNode | null)[] = [pattern];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node === null) continue;
    yield node;
    if (node.type === "VariableDeclaration") open.push(...node.declarations.map(({ id }) => id));
    if (node.type === "ObjectPattern") open.push(...node.properties);
    if (node.type === "Property") open.push(node.value);
    if (node.type === "ArrayPattern") open.push(...node.elements);
    if (node.type === "AssignmentPattern") open.push(node.left);
    if (node.type === "RestElement") open.push(node.argument);
  }
}

/** Whether a property of a node is a node. */
export function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value;
}
