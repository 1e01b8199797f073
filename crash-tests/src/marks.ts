/** Label of the mark that stands for an acknowledgement; its data is the number of transactions acknowledged by then. */
export const MARK_ACKNOWLEDGED = 'acknowledged'

/** Marks around opening (with recovery) and closing. */
export type PhaseMark = 'opening' | 'opened' | 'closing' | 'closed'
