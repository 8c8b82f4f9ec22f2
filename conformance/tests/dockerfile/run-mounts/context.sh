mkdir d
touch d/f
