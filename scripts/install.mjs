// npm runs this after installing the package: it takes the prebuilt addon or compiles one. A machine that can do neither
// keeps a package that works, through the portable executor; the first open() says so, as npm hides what this prints.
// Who asks for a build (npm_config_build_from_source) gets its failure.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'

const asked = process.env.npm_config_build_from_source === 'true'

function goOn(why) {
  console.warn(
    `daxkv: ${why}; file pools need the portable executor here: npm install mmap-io@npm:@riaskov/mmap-io ` +
      '(slower, see docs/durability.md), or build the addon with npm rebuild daxkv',
  )
}

if (process.platform !== 'linux' && !asked) {
  goOn(`the native addon is for Linux, not for ${process.platform}`)
} else {
  const build = createRequire(import.meta.url).resolve('node-gyp-build/bin.js')
  const { status } = spawnSync(process.execPath, [build], { stdio: 'inherit' })
  if (status !== 0 && asked) process.exit(status ?? 1)
  if (status !== 0) goOn('the native addon could not be built, see above (it needs python3, make and a C compiler)')
}
