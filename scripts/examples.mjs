// Runs every example once and fails at the first that fails. An example is a TypeScript file directly in examples/, or
// the main.ts of a folder in it.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const examples = (existsSync('examples') ? readdirSync('examples', { withFileTypes: true }) : [])
  .map((entry) => join('examples', entry.name, entry.isDirectory() ? 'main.ts' : ''))
  .map((path) => path.replace(/\/$/, ''))
  .filter((path) => path.endsWith('.ts') && existsSync(path))
  .sort()

for (const example of examples) {
  console.log(`--- ${example}`)
  const { status, signal } = spawnSync(process.execPath, ['--import', 'tsx', example], { stdio: 'inherit' })
  if (status !== 0) {
    console.error(`${example} failed (${signal ?? `exit code ${status}`})`)
    process.exit(1)
  }
}
console.log(`${examples.length} examples ran`)
