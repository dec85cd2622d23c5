/** Checks a template against the form of its later values, and evaluates it. */
import {
  functions,
  isList,
  isMap,
  isTrue,
  refusedFunctions,
  textOf,
  type Value,
} from "./functions.ts";
import {
  type Operand,
  type Pipeline,
  type Template,
  TemplateError,
  type TemplateNode,
} from "./parse.ts";

const longest = 4096;

/** Throws a `TemplateError` for a function or a field that does not exist; `specimen` has every field. */
export function checkTemplate({ nodes }: Template, specimen: Value): void {
  for (const node of nodes) checkNode(node, specimen);
}

/** Throws a `TemplateError` when the values do not fit. */
export function renderTemplate({ nodes }: Template, data: Value): string {
  const text = render(nodes, data);
  if (text.length > longest) throw new TemplateError(`gives more than ${longest} characters`);
  return text;
}

function checkNode(node: TemplateNode, specimen: Value): void {
  if (node.kind === "print") checkPipeline(node.pipeline, specimen);
  if (node.kind !== "if") return;
  checkPipeline(node.condition, specimen);
  for (const inner of [...node.yes, ...node.no]) checkNode(inner, specimen);
}

function checkPipeline(pipeline: Pipeline, specimen: Value): void {
  for (const [at, command] of pipeline.entries()) {
    if (command.kind === "value") {
      checkOperand(command.value, specimen);
      continue;
    }
    const found = functionNamed(command.name);
    const count = command.args.length + (at > 0 ? 1 : 0);
    if (count < found.least || count > found.most) {
      const wanted = found.least === found.most ? found.least : `${found.least} or more`;
      throw new TemplateError(`gives ${command.name} ${count} arguments; it takes ${wanted}`);
    }
    for (const arg of command.args) checkOperand(arg, specimen);
  }
}

function checkOperand(operand: Operand, specimen: Value): void {
  if (operand.kind === "pipeline") checkPipeline(operand.pipeline, specimen);
  if (operand.kind !== "field") return;
  // What a function gives is not known before it runs.
  if (operand.of !== null) checkPipeline(operand.of, specimen);
  let value = operand.of === null ? specimen : undefined;
  for (const [at, name] of operand.names.entries()) {
    if (value === undefined) return;
    if (isMap(value)) {
      value = [...value.values()][0];
      continue;
    }
    const field = `.${operand.names.slice(0, at + 1).join(".")}`;
    if (typeof value !== "object" || isList(value) || !Object.hasOwn(value, name)) {
      const known = typeof value === "object" && !isList(value) ? Object.keys(value) : [];
      const list = known.length === 0 ? "" : `; there are ${known.join(", ")}`;
      throw new TemplateError(`has no field ${field}${list}`);
    }
    value = value[name];
  }
}

function functionNamed(name: string) {
  const found = functions.get(name);
  if (found !== undefined) return found;
  const why = Object.hasOwn(refusedFunctions, name)
    ? refusedFunctions[name]
    : `is no function; there are ${[...functions.keys()].join(", ")}`;
  throw new TemplateError(`${name} ${why}`);
}

function render(nodes: readonly TemplateNode[], data: Value): string {
  return nodes
    .map((node) => {
      if (node.kind === "text") return node.text;
      if (node.kind === "print") return textOf(pipelineOf(node.pipeline, data));
      return render(isTrue(pipelineOf(node.condition, data)) ? node.yes : node.no, data);
    })
    .join("");
}

function pipelineOf(pipeline: Pipeline, data: Value): Value {
  let value: Value;
  for (const [at, command] of pipeline.entries()) {
    if (command.kind === "value") value = operandOf(command.value, data);
    else {
      const args = command.args.map((arg) => operandOf(arg, data));
      value = functionNamed(command.name).run(at > 0 ? [...args, value] : args);
    }
  }
  return value;
}

function operandOf(operand: Operand, data: Value): Value {
  if (operand.kind === "constant") return operand.value;
  if (operand.kind === "pipeline") return pipelineOf(operand.pipeline, data);
  const from = operand.of === null ? data : pipelineOf(operand.of, data);
  return operand.names.reduce<Value>(fieldOf, from);
}

function fieldOf(value: Value, name: string): Value {
  if (value === undefined) return undefined;
  if (isMap(value)) return value.get(name);
  if (typeof value === "object" && !isList(value) && Object.hasOwn(value, name)) return value[name];
  throw new TemplateError(`has no field .${name} there`);
}
