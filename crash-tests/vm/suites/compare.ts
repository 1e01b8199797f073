import type { Laboratory } from '../host/laboratory.js'
import { results } from '../host/laboratory.js'

/** Puts in a batch of one engine. */
const PUTS = 40

/** Durable puts by the store, lmdb and better-sqlite3 on the same ext4 with DAX, as ratios. */
export async function compare(laboratory: Laboratory): Promise<void> {
  if (laboratory.amount === 'smoke') return
  laboratory.progress('cold comparison')
  const disk = { index: 0, fileSystem: 'ext4', access: 'dax' } as const
  const lines = await laboratory.run(
    [
      { task: 'format', disk },
      { task: 'compare', disk, puts: PUTS },
    ],
    {
      nvdimms: [laboratory.image('compare.img')],
    },
  )
  for (const { name, ok, detail } of results(lines)) laboratory.add({ suite: 'compare', name, ok, detail })
}
