// Puts the addon built on this machine where an installed package finds it without compiling: prebuilds/linux-x64 and
// the like. Node-API makes one binary do for every Node version; it needs a glibc as new as this machine's.
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const libc = process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
const folder = join('prebuilds', `${process.platform}-${process.arch}`)
mkdirSync(folder, { recursive: true })
copyFileSync('build/Release/daxkv.node', join(folder, `daxkv.napi.${libc}.node`))
console.log(`${folder}/daxkv.napi.${libc}.node`)
