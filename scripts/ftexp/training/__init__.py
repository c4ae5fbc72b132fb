"""Components that the stock torchtune recipes load by their dotted paths; they import nothing of the stages."""
