/** Which content coding a client wants: RFC 9110 section 12.5.3. */

/** The longest part of the field that is read: no client needs more. */
const maxLength = 512;

/**
 * The one of `codings` that `accept` gives the most weight, of equals the first one; `null`: none, so that the answer stays as it is.
 * @param accept the value of `Accept-Encoding`; `undefined` when there is none.
 */
export function chooseCoding<Coding extends string>(
  accept: string | undefined,
  codings: readonly Coding[],
): Coding | null {
  if (accept === undefined || accept.length > maxLength) return null;
  const weights = new Map<string, number>();
  for (const element of accept.split(",")) {
    const [coding = "", ...parameters] = element.split(";");
    const name = coding.trim().toLowerCase();
    if (name !== "") weights.set(name === "x-gzip" ? "gzip" : name, weightOf(parameters));
  }
  const rest = weights.get("*") ?? 0;
  let best: Coding | null = null;
  // An unencoded answer is acceptable unless the client says otherwise, but it is not what the client asks for.
  let bestWeight = 0;
  for (const coding of codings) {
    const weight = weights.get(coding) ?? rest;
    if (weight <= bestWeight) continue;
    best = coding;
    bestWeight = weight;
  }
  return bestWeight >= (weights.get("identity") ?? 0) ? best : null;
}

/** 0 to 1; 1 when it is not given, 0 when it is malformed. */
function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const [name = "", value = ""] = parameter.split("=");
    if (name.trim().toLowerCase() !== "q") continue;
    const text = value.trim();
    return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(text) ? Number(text) : 0;
  }
  return 1;
}
