/** Checks against damage that are turned off one by one: the campaign must notice each. */
import type { Patch } from '../source-mutants.js'

export interface HostileMutant {
  readonly name: string
  readonly patches: readonly Patch[]
}

export const HOSTILE_MUTANTS: readonly HostileMutant[] = [
  {
    name: 'verifyReads does not verify pages',
    patches: [
      { file: 'tx/verified-page-space.ts', find: '=== pageId || this.memory.verifyPage(pageId)', replace: '!== -1' },
    ],
  },
  {
    name: 'check does not verify the checksums of nodes',
    patches: [
      {
        file: 'api/check.ts',
        find: "if (!memory.verifyPage(page)) this.report('the page fails its checksum', page, keyspace)",
        replace: '',
      },
    ],
  },
  {
    name: 'check does not hold the bitmaps against what is reached',
    patches: [{ file: 'api/check.ts', find: 'free = this.checkBooks()', replace: 'free = 0' }],
  },
  {
    name: 'check does not compare the entry count with the leaves',
    patches: [{ file: 'tree/check.ts', find: 'if (claimed !== this.entries)', replace: 'if (claimed < 0)' }],
  },
  {
    name: 'check does not compare keys with the separators around them',
    patches: [
      {
        file: 'tree/check.ts',
        find: 'if (count > 0 && lower !== undefined && ',
        replace: 'if (count < 0 && lower !== undefined && ',
      },
      {
        file: 'tree/check.ts',
        find: 'if (count > 0 && upper !== undefined && ',
        replace: 'if (count < 0 && upper !== undefined && ',
      },
    ],
  },
  {
    name: 'page ids are not compared with the capacity',
    patches: [
      { file: 'tx/page-space.ts', find: 'if (pageId >= this.capacityPages) this.failPageId(pageId)', replace: '' },
    ],
  },
  {
    name: 'a walk over leaves does not end',
    patches: [
      { file: 'tree/cursor.ts', find: 'if (--this.leavesLeft < 0)', replace: 'if (this.leavesLeft < 0)' },
      { file: 'tree/cursor.ts', find: 'if (at !== (mode === TO_FIRST ? ~0 : ~count))', replace: 'if (at === 1 << 30)' },
    ],
  },
  {
    name: 'a lost identity copy is thrown out of check',
    patches: [{ file: 'api/check.ts', find: ", 'NOT_A_POOL']", replace: ']' }],
  },
  {
    name: 'records may cover the anchors and the log',
    patches: [
      {
        file: 'tx/log-record.ts',
        find: 'if (pageId < PAGE_ROOT || pageId === PAGE_VOLATILE || pageId >= filePages || seen.has(pageId)) return undefined',
        replace: 'if (pageId === PAGE_VOLATILE || seen.has(pageId)) return undefined',
      },
    ],
  },
]
