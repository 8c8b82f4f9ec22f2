mkdir d; mkfifo d/fifo; touch d/f
