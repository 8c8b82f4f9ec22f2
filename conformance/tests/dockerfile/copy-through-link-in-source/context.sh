mkdir -p d/e; touch d/e/f d/g g; ln -s d/e l
