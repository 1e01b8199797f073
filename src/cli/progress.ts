import { Presets, SingleBar } from 'cli-progress'
import { formatCount } from './layout.js'

/** A progress bar on standard error; nothing when that is not a terminal or the end is not known. */
export class Progress {
  private readonly bar: SingleBar | undefined

  constructor(totalBytes: number | undefined) {
    if (totalBytes === undefined || totalBytes === 0 || !process.stderr.isTTY) return
    this.bar = new SingleBar(
      {
        format: '{bar} {percentage} % | {rows} rows | {eta_formatted} left',
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        gracefulExit: false, // load stops by itself after the transaction at hand
        etaAsynchronousUpdate: true,
      },
      Presets.shades_classic,
    )
    this.bar.start(totalBytes, 0, { rows: '0' })
  }

  update(inputBytes: number, rows: number): void {
    this.bar?.update(inputBytes, { rows: formatCount(rows) })
  }

  stop(): void {
    this.bar?.stop()
  }
}
