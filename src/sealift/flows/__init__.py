"""The stories, one page each: every command's steps in order."""
