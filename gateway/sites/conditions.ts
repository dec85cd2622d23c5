/** What a route or a share asks of a request, prepared for asking. It does not look at paths. */
import { addressTest } from "../engine/message/address-blocks.ts";
import type { Conditions, TextTest, ValueCondition } from "../model/index.ts";
import type { RequestValues, RoutedRequest } from "./request-values.ts";

export class Requirements {
  readonly #methods: readonly string[] | null;
  readonly #values: readonly ValueCondition[];
  readonly #isClient: ((address: string) => boolean) | null;
  readonly #clients: readonly string[];

  constructor({ methods, values = [], clients = [] }: Conditions) {
    this.#methods = methods ?? null;
    this.#values = values;
    this.#clients = clients;
    this.#isClient = clients.length === 0 ? null : addressTest(clients);
  }

  /** @param values the request's values. */
  areMetBy(request: RoutedRequest, values: RequestValues): boolean {
    return this.#failing(request, values) === -1;
  }

  /** Says in words which condition is not met; `null` when all are. */
  explain(request: RoutedRequest, values: RequestValues): string | null {
    const failing = this.#failing(request, values);
    if (failing === -1) return null;
    if (failing === -2) return `the method is not ${(this.#methods ?? []).join(", ")}`;
    if (failing === -3)
      return `the client ${request.clientAddress} is not in ${few(this.#clients)}`;
    const condition = this.#values[failing];
    return condition === undefined ? null : describeFailure(condition, values.of(condition));
  }

  /** Which condition is not met: the index of a value, -2 for the method, -3 for the client; -1 when all are met. */
  #failing(request: RoutedRequest, known: RequestValues): number {
    const methods = this.#methods;
    if (methods !== null && !methods.includes(request.method)) return -2;
    const values = this.#values;
    for (let i = 0; i < values.length; i += 1) {
      const condition = values[i];
      if (condition !== undefined && !isMet(condition, known)) return i;
    }
    // The most expensive condition comes last.
    return this.#isClient === null || this.#isClient(request.clientAddress) ? -1 : -3;
  }
}

function isMet(condition: ValueCondition, values: RequestValues): boolean {
  const passes = hasPassed(condition.test, values.of(condition));
  return condition.negated === true ? !passes : passes;
}

function hasPassed(test: TextTest, value: string | undefined): boolean {
  if ("present" in test) return test.present === (value !== undefined);
  if (value === undefined) return false;
  if ("is" in test) return test.is.includes(value);
  if ("prefix" in test) return value.startsWith(test.prefix);
  if ("suffix" in test) return value.endsWith(test.suffix);
  return value.includes(test.contains);
}

function describeFailure(condition: ValueCondition, value: string | undefined): string {
  const { in: place, name, test, negated } = condition;
  const what = `${place === "query" ? "the query parameter" : `the ${place}`} ${name}`;
  if (value === undefined) return `there is no ${what.slice(4)}`;
  if ("present" in test) return `there is ${what.replace(/^the/, "a")}`;
  const wanted =
    "is" in test
      ? few(test.is.map((text) => JSON.stringify(text)))
      : Object.entries(test)
          .map(([kind, text]) => `${wordsFor[kind] ?? kind} ${JSON.stringify(text)}`)
          .join();
  const verb = "is" in test ? "is" : "does";
  return negated === true
    ? `${what} ${"is" in test ? "is" : ""} ${wanted}`
    : `${what} ${verb} not ${wanted}`;
}

const wordsFor: Readonly<Record<string, string>> = {
  prefix: "begin with",
  suffix: "end with",
  contains: "contain",
};

function few(texts: readonly string[]): string {
  const shown = texts.slice(0, 3).join(", ");
  return texts.length > 3 ? `${shown} or ${texts.length - 3} more` : shown;
}
