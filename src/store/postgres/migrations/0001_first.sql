-- The first tables come with what reads and writes them.
SELECT 1;
