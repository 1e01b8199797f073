/**
 * The promises of one group of asynchronous writes: they are settled together, in the order of the calls. Consecutive
 * operations with the same result share one promise, so that a thousand puts allocate one.
 */
export type OperationResult = boolean | undefined

interface Settlement {
  readonly result: OperationResult
  readonly promise: Promise<OperationResult>
  readonly resolve: (result: OperationResult) => void
  readonly reject: (error: unknown) => void
}

export class Settlements {
  private readonly all: Settlement[] = []
  private last: Settlement | undefined
  private separatedAt = 0

  /** The promise of an operation that resolves to `result`. */
  add(result: OperationResult): Promise<OperationResult> {
    if (this.last !== undefined && this.last.result === result) return this.last.promise
    let resolve: Settlement['resolve'] = ignore
    let reject: Settlement['reject'] = ignore
    const promise = new Promise<OperationResult>((yes, no) => {
      resolve = yes
      reject = no
    })
    this.last = { result, promise, resolve, reject }
    this.all.push(this.last)
    return promise
  }

  /** Operations from here on share no promise with those before. */
  separate(): void {
    this.last = undefined
    this.separatedAt = this.all.length
  }

  /** Rejects the operations since `separate`, or all. */
  rejectSeparated(error: unknown): void {
    const rejected = this.all.splice(this.separatedAt)
    this.last = undefined
    for (const settlement of rejected) settlement.reject(error)
  }

  resolve(): void {
    for (const settlement of this.all) settlement.resolve(settlement.result)
  }

  reject(error: unknown): void {
    for (const settlement of this.all) settlement.reject(error)
  }
}

function ignore(): void {
  // Replaced before it can be called.
}
