echo > f; chmod 2711 f; mkdir d; chmod 3777 d; touch d/g; chmod 6000 d/g
