// Everything of the language that a script can reach by a name, object by object. What is not in this list
// is deleted (allowed.js), so that what a later V8 adds is absent until somebody has looked at it;
// `allowed.test.ts` compares the list with what can be reached.
//
// Left out on purpose: Promise and everything asynchronous (a rejection is looked at after the time
// limit is over), Proxy (a length must not lie to the checks of bounds.js), WebAssembly, SharedArrayBuffer,
// Atomics, WeakRef and FinalizationRegistry, eval and Function; BigInt, Intl and Temporal, whose arithmetic
// and tables take long and which rules have no use for; what makes HTML; what makes a buffer grow.

const ofFunctions = "length name prototype";
const ofErrors = "constructor name message";
const ofTypedArrays = `${ofFunctions} BYTES_PER_ELEMENT`;
const types =
  "Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array Uint8ClampedArray";

/** Symbols are written `@@iterator`. A name with `.prototype` is that property of what has the name. */
export const allowed = {
  __proto__: null,
  globalThis: `Object Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date
    RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError globalThis
    JSON Math Map Set WeakMap WeakSet Reflect Iterator ArrayBuffer DataView ${types} isFinite isNaN
    decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape`,
  Object: `${ofFunctions} assign getOwnPropertyDescriptor getOwnPropertyDescriptors getOwnPropertyNames
    getOwnPropertySymbols hasOwn is preventExtensions seal create defineProperties defineProperty freeze
    getPrototypeOf setPrototypeOf isExtensible isFrozen isSealed keys entries fromEntries values groupBy`,
  "Object.prototype": `constructor __defineGetter__ __defineSetter__ hasOwnProperty __lookupGetter__
    __lookupSetter__ isPrototypeOf propertyIsEnumerable toString valueOf __proto__`,
  "Function.prototype": "length name constructor apply bind call toString @@hasInstance",
  "GeneratorFunction.prototype": "prototype constructor @@toStringTag",
  "Generator.prototype": "constructor next return throw @@toStringTag",
  Array: `${ofFunctions} isArray from of @@species`,
  "Array.prototype": `length constructor at concat copyWithin fill find findIndex findLast findLastIndex
    lastIndexOf pop push reverse shift unshift slice sort splice includes indexOf join keys entries values
    forEach filter flat flatMap map every some reduce reduceRight toReversed toSorted toSpliced with toString
    @@iterator @@unscopables`,
  Number: `${ofFunctions} isFinite isInteger isNaN isSafeInteger parseFloat parseInt MAX_VALUE MIN_VALUE NaN
    NEGATIVE_INFINITY POSITIVE_INFINITY MAX_SAFE_INTEGER MIN_SAFE_INTEGER EPSILON`,
  "Number.prototype": "constructor toExponential toFixed toPrecision toString valueOf",
  Boolean: ofFunctions,
  "Boolean.prototype": "constructor toString valueOf",
  String: `${ofFunctions} fromCharCode fromCodePoint raw`,
  "String.prototype": `length constructor at charAt charCodeAt codePointAt concat endsWith includes indexOf
    isWellFormed lastIndexOf match matchAll normalize padEnd padStart repeat replace replaceAll search slice
    split substr substring startsWith toString toWellFormed trim trimStart trimLeft trimEnd trimRight
    toLowerCase toUpperCase valueOf @@iterator`,
  Symbol: `${ofFunctions} for keyFor asyncIterator hasInstance isConcatSpreadable iterator match matchAll
    replace search species split toPrimitive toStringTag unscopables
    dispose asyncDispose`,
  "Symbol.prototype": "constructor toString valueOf description @@toStringTag @@toPrimitive",
  Date: `${ofFunctions} now parse UTC`,
  "Date.prototype": `constructor toString toDateString toTimeString toISOString toUTCString toGMTString
    getDate setDate getDay getFullYear setFullYear getHours setHours getMilliseconds setMilliseconds
    getMinutes setMinutes getMonth setMonth getSeconds setSeconds getTime setTime getTimezoneOffset
    getUTCDate setUTCDate getUTCDay getUTCFullYear setUTCFullYear getUTCHours setUTCHours getUTCMilliseconds
    setUTCMilliseconds getUTCMinutes setUTCMinutes getUTCMonth setUTCMonth getUTCSeconds setUTCSeconds
    valueOf getYear setYear toJSON @@toPrimitive`,
  RegExp: `${ofFunctions} escape @@species`,
  "RegExp.prototype": `constructor exec dotAll flags global hasIndices ignoreCase multiline source sticky
    unicode unicodeSets toString test @@match @@matchAll @@replace @@search @@split`,
  Error: `${ofFunctions} isError prepareStackTrace stackTraceLimit`,
  "Error.prototype": `${ofErrors} toString`,
  JSON: "parse stringify @@toStringTag",
  Math: `abs acos acosh asin asinh atan atanh atan2 ceil cbrt expm1 clz32 cos cosh exp floor f16round fround
    hypot imul log log1p log2 log10 max min pow random round sign sin sinh sqrt tan tanh trunc E LN10 LN2
    LOG10E LOG2E PI SQRT1_2 SQRT2 @@toStringTag`,
  Map: `${ofFunctions} groupBy @@species`,
  "Map.prototype": `constructor get set has delete clear entries forEach keys size values getOrInsert
    getOrInsertComputed @@toStringTag @@iterator`,
  Set: `${ofFunctions} @@species`,
  "Set.prototype": `constructor has add delete difference clear entries forEach intersection isSubsetOf
    isSupersetOf isDisjointFrom size symmetricDifference union values keys @@toStringTag @@iterator`,
  WeakMap: ofFunctions,
  "WeakMap.prototype":
    "constructor delete get set has getOrInsert getOrInsertComputed @@toStringTag",
  WeakSet: ofFunctions,
  "WeakSet.prototype": "constructor delete has add @@toStringTag",
  Reflect: `defineProperty deleteProperty apply construct get getOwnPropertyDescriptor getPrototypeOf has
    isExtensible ownKeys preventExtensions set setPrototypeOf @@toStringTag`,
  Iterator: `${ofFunctions} from concat`,
  "Iterator.prototype": `constructor reduce toArray forEach some every find map filter take drop flatMap
    @@iterator @@toStringTag`,
  ArrayIterator: "next @@toStringTag",
  StringIterator: "next @@toStringTag",
  MapIterator: "next @@toStringTag",
  SetIterator: "next @@toStringTag",
  RegExpStringIterator: "next @@toStringTag",
  IteratorHelper: "next return @@toStringTag",
  WrappedIterator: "next return",
  ArrayBuffer: `${ofFunctions} isView @@species`,
  "ArrayBuffer.prototype": "constructor byteLength slice @@toStringTag",
  DataView: ofFunctions,
  "DataView.prototype": `constructor buffer byteLength byteOffset getInt8 setInt8 getUint8 setUint8 getInt16
    setInt16 getUint16 setUint16 getInt32 setInt32 getUint32 setUint32 getFloat32 setFloat32 getFloat64
    setFloat64 @@toStringTag`,
  TypedArray: `${ofFunctions} of from @@species`,
  "TypedArray.prototype": `constructor buffer byteLength byteOffset length entries keys values at copyWithin
    every fill filter find findIndex findLast findLastIndex forEach includes indexOf join lastIndexOf map
    reverse reduce reduceRight set slice some sort subarray toReversed toSorted with toString @@toStringTag
    @@iterator`,
};
const errors = "AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError";
for (const name of errors.split(" ")) {
  allowed[name] = ofFunctions;
  allowed[`${name}.prototype`] = ofErrors;
}
for (const name of types.split(" ")) {
  allowed[name] = ofTypedArrays;
  allowed[`${name}.prototype`] = "constructor BYTES_PER_ELEMENT";
}
// Syntax makes these, should it be let through: they have no properties of use.
allowed.bigint = "";
allowed.promise = "";
allowed.asyncFunction = "constructor";
allowed.asyncGeneratorFunction = "constructor prototype";
allowed.asyncGenerator = "";
allowed.asyncIterator = "";
// What the global object inherits from is isolated-vm's.
allowed.inherited = "";
