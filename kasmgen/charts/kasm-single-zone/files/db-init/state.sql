-- The one test of "initialised", for psql. Prints one word:
--   seeded      a zone exists, and no seeding of this chart was left unfinished
--   unfinished  tables exist, but the seeding did not get to its end
--   empty       there is nothing
\set zone_rows false
\set unfinished false
SELECT to_regclass('public.zones') IS NOT NULL AS zones,
       to_regclass('kasm_chart.seeding') IS NOT NULL AS mark,
       EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'public') AS tables \gset
\if :zones
SELECT EXISTS (SELECT FROM public.zones) AS zone_rows \gset
\endif
\if :mark
SELECT EXISTS (SELECT FROM kasm_chart.seeding WHERE finished_at IS NULL) AS unfinished \gset
\endif
SELECT CASE WHEN :'unfinished'::boolean THEN 'unfinished'
            WHEN :'zone_rows'::boolean THEN 'seeded'
            WHEN :'tables'::boolean THEN 'unfinished'
            ELSE 'empty' END;
