import { addInodeFlags, FS_FL } from "@gantry/sys";

/**
 * Lets ext4 place what is made in a directory far apart. A block group does not give an inode out again for some minutes after it was
 * freed, and looks at each such inode whenever it makes a file: where an image of 9,000 files was just removed, the next one
 * took six times as long to unpack beside it. Other file systems need no such thing.
 */
export function scatter(directory: string): void {
  addInodeFlags(directory, FS_FL.TOPDIR);
}
