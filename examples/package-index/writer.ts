/**
 * The writer process: one transaction a package.json, and after each one its number on standard output. Whoever reads
 * that number may rely on the transaction, whatever happens to this process.
 * With a number as third argument it stops after that transaction and waits to be killed, so that the parent never
 * comes too late however fast the writer is.
 */
import { readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'daxkv'
import { findPackageFiles, type PackageFile, readPackageFile } from './package-files.js'
import { type IndexName, openIndex, type PackageIndex, type PackageKey, type WrittenKey } from './schema.js'

const STDIN = 0
const STDOUT = 1

const [pool, directory, upTo] = process.argv.slice(2)
using store = open(pool)
const index = openIndex(store)

// A writer before us may have been killed: go on after what is in the pool.
const done = new Set(Array.from(index.manifests.values(), (manifest) => manifest.file))
let tx = index.manifests.last()?.[0] ?? 0
let busyMs = 0
for (const file of findPackageFiles(directory)) {
  if (done.has(file)) continue
  const packageFile = readPackageFile(join(directory, file))
  if (packageFile === undefined) continue
  if (tx === Number(upTo)) readSync(STDIN, Buffer.alloc(1)) // nothing comes; ends when the parent is gone
  tx++
  const started = performance.now()
  store.transaction(() => {
    storePackage(index, tx, file, packageFile)
  })
  busyMs += performance.now() - started
  writeSync(STDOUT, `${tx}\n`)
}
writeSync(STDOUT, `busy ${busyMs}\n`)

function storePackage(to: PackageIndex, number: number, file: string, read: PackageFile): void {
  const { name, version, license, description, dependencies } = read
  const wrote: [IndexName, WrittenKey][] = []
  const key: PackageKey = [name, version]

  to.packages.update(key, (row) => ({
    description,
    license,
    dependencies: [...dependencies.keys()],
    files: [...(row?.files ?? []), file],
    tx: [...(row?.tx ?? []), number],
  }))
  wrote.push(['packages', key])

  for (const [dependency, range] of dependencies) {
    to.dependents.update([dependency, name, version], (row) => ({ range, tx: [...(row?.tx ?? []), number] }))
    wrote.push(['dependents', [dependency, name, version]])
  }

  to.licenses.update([license, name, version], (row) => ({ tx: [...(row?.tx ?? []), number] }))
  wrote.push(['licenses', [license, name, version]])

  to.manifests.put(number, { file, wrote })
}
