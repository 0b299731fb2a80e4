/** A mistake of the visitor or an odd file: one sentence that says what came, what is needed, what to do. */
export class Problem extends Error {}
