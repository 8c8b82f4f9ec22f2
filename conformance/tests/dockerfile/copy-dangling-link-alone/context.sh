ln -s none l
