/** A range of keys by bytes. At most one lower and one upper bound; without one the range is open at that end. */
export interface KeyRange {
  readonly gt?: Buffer | undefined
  readonly gte?: Buffer | undefined
  readonly lt?: Buffer | undefined
  readonly lte?: Buffer | undefined
  /** From the highest key down. */
  readonly reverse?: boolean | undefined
}
