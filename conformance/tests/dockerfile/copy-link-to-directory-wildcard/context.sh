mkdir d; touch d/f; ln -s d l1; ln -s d/f l2; ln -s none l3
