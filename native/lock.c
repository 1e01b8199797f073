#include "lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "syscalls.h"

/* Far past any capacity (16 TiB), with room behind it for the slots of later multi-process readers. */
#define LOCK_OFFSET ((off_t)1 << 62)

struct entry {
  /* Only good while the descriptor is open: for an opening that fails before a pool takes over. */
  int fd;
  dev_t device;
  ino_t inode;
  const void *owner;
  bool exclusive;
  struct entry *next;
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry *registry;

static int set_lock(int fd, short type) {
  struct flock request;
  memset(&request, 0, sizeof request);
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = LOCK_OFFSET;
  request.l_len = 1;
  if (sys.ofd_lock(fd, &request) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

static bool conflicts(const struct stat *file, bool exclusive) {
  for (const struct entry *entry = registry; entry != NULL; entry = entry->next) {
    bool same = entry->device == file->st_dev && entry->inode == file->st_ino;
    if (same && (exclusive || entry->exclusive)) return true;
  }
  return false;
}

/* The mutex is held. */
static int acquire_registered(int fd, const struct stat *file, bool exclusive, const void *owner) {
  if (conflicts(file, exclusive)) return LOCK_ALREADY_OPEN;
  struct entry *entry = malloc(sizeof *entry);
  if (entry == NULL) return ENOMEM;
  int error = set_lock(fd, exclusive ? F_WRLCK : F_RDLCK);
  if (error != 0) {
    free(entry);
    return error;
  }
  *entry = (struct entry){fd, file->st_dev, file->st_ino, owner, exclusive, registry};
  registry = entry;
  return 0;
}

int lock_acquire(int fd, bool exclusive, const void *owner) {
  struct stat file;
  if (sys.fstat(fd, &file) != 0) return errno;
  pthread_mutex_lock(&registry_mutex);
  int error = acquire_registered(fd, &file, exclusive, owner);
  pthread_mutex_unlock(&registry_mutex);
  return error;
}

void lock_release(int fd, dev_t device, ino_t inode, const void *owner) {
  pthread_mutex_lock(&registry_mutex);
  for (struct entry **link = &registry; *link != NULL; link = &(*link)->next) {
    struct entry *entry = *link;
    if (entry->device != device || entry->inode != inode || entry->owner != owner) continue;
    /* The kernel's lock first: who finds the registry free must find the file free. Closing drops it anyway. */
    set_lock(fd, F_UNLCK);
    *link = entry->next;
    free(entry);
    break;
  }
  pthread_mutex_unlock(&registry_mutex);
}

void lock_release_fd(int fd, const void *owner) {
  pthread_mutex_lock(&registry_mutex);
  /* The newest entry comes first: older ones of this number are of descriptors that have been closed since. */
  for (struct entry **link = &registry; *link != NULL; link = &(*link)->next) {
    struct entry *entry = *link;
    if (entry->fd != fd || entry->owner != owner) continue;
    set_lock(fd, F_UNLCK);
    *link = entry->next;
    free(entry);
    break;
  }
  pthread_mutex_unlock(&registry_mutex);
}

void lock_release_owner(const void *owner) {
  pthread_mutex_lock(&registry_mutex);
  for (struct entry **link = &registry; *link != NULL;) {
    struct entry *entry = *link;
    if (entry->owner == owner) {
      *link = entry->next;
      free(entry);
    } else {
      link = &entry->next;
    }
  }
  pthread_mutex_unlock(&registry_mutex);
}
