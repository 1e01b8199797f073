/** This machine, or this version, has no such thing: the subject is left out, with one line that says why. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable'
}
