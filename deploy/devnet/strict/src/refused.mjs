// Why something handed in is not taken: a rule with a name, so that tests and reports can tell one from another.

export class Refused extends Error {
  /**
   * - `rule`: a short fixed name, such as "attestation-signature".
   * - `detail`: a sentence with the numbers.
   * - `statusCode`: what the API answers with.
   */
  constructor(rule, detail, statusCode = 400) {
    super(`${rule}: ${detail}`);
    this.rule = rule;
    this.statusCode = statusCode;
  }
}

/** Some items of a list were refused; the others were taken. */
export class PartlyRefused extends Error {
  constructor(failures) {
    super(`${failures.length} refused: ${failures[0].message}`);
    this.failures = failures;
    this.statusCode = failures.every(({statusCode}) => statusCode < 500) ? 400 : 500;
  }
}

/** Requires a condition, or refuses. */
export function must(condition, rule, detail, statusCode) {
  if (!condition) throw new Refused(rule, typeof detail === "function" ? detail() : detail, statusCode);
}
