"""The stories, one file each: every command's steps in order."""
