/*
 * Who may open a pool. Between processes: an open-file-description lock, which the kernel drops with its owner.
 * Inside the process (OFD locks of two descriptors would only say "locked"): a registry by device and inode.
 */
#ifndef DAXKV_LOCK_H
#define DAXKV_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#define LOCK_ALREADY_OPEN (-1)

/* Returns 0, LOCK_ALREADY_OPEN, EAGAIN (another process has it), or another errno. `owner` names the environment. */
int lock_acquire(int fd, bool exclusive, const void *owner);

/* Drops the kernel's lock and the registry entry of this owner. */
void lock_release(int fd, dev_t device, ino_t inode, const void *owner);

/* The same for an opening that fails: by the descriptor that took the lock, which is still open. Cannot fail. */
void lock_release_fd(int fd, const void *owner);

/* Forgets everything an environment left behind; its descriptors are closed by Node.js or by pool_close. */
void lock_release_owner(const void *owner);

#endif
