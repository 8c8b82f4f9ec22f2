mkdir d; touch d/s; chmod 4755 d/s; chmod 2770 d
