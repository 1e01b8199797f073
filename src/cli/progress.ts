import { Presets, SingleBar } from 'cli-progress'
import { formatCount } from './layout.js'

/** A progress bar on standard error; nothing when that is not a terminal or the end is not known. */
export class Progress {
  private bar: SingleBar | undefined
  private readonly shown: boolean

  constructor(private readonly totalBytes: number | undefined) {
    this.shown = totalBytes !== undefined && totalBytes > 0 && process.stderr.isTTY
  }

  update(inputBytes: number, rows: number): void {
    if (!this.shown) return
    // Drawn only now: before the first transaction there may be notes to print.
    this.bar ??= this.start()
    this.bar.update(inputBytes, { rows: formatCount(rows) })
  }

  stop(): void {
    this.bar?.stop()
  }

  private start(): SingleBar {
    const bar = new SingleBar(
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
    bar.start(this.totalBytes ?? 0, 0, { rows: '0' })
    return bar
  }
}
